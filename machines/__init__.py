"""Many pictures, and the tiles of one, over many machines: what joins ComfyUI servers, and no part of what ComfyUI loads."""
