"""Tiles that become one picture: guidance of the whole canvas, statistics that tiles share."""
