"""How far one picture is shifted against another, found to a part of a pixel, and undone."""
