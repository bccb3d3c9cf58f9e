"""A running ComfyUI: started, asked, shown."""
