"""Tilework: seamless tiled processing of very large pictures in ComfyUI."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """Called once by ComfyUI. Nodes are imported here and not above, so that tools that merely look at this package stay light."""
    from .nodes import comfy_entrypoint as entry

    return await entry()
