"""What is ComfyUI's and all of the pack needs: once each."""
