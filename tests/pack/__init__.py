"""Nodes that only the tests use: pictures, latents and tiny models to feed, and probes to read what came out."""


async def comfy_entrypoint():
    """Called once by ComfyUI. Imported here and not above, so that test runners that look at this package stay light."""
    from .nodes import comfy_entrypoint as entry

    return await entry()
