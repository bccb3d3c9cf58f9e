"""The few things of ComfyUI that all rooms above need, each once. Imported relatively alone; ComfyUI itself inside of functions."""
