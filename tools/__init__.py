"""Developer tools: a real ComfyUI to run Tilework in, its server, and the demonstration.

Nothing here is part of the node pack. Modules that work before the virtual environment
exists (environment, comfy_source, virtual_environment, ...) import the standard library only.
"""
