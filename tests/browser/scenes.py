"""Prompts of the API drawn as graphs in the page."""

from __future__ import annotations

import json
from typing import Any

from tilework.tests.host.hostile import sound
from tilework.tests.host.prompts import node

Prompt = dict[str, dict[str, Any]]


def everything(pack: dict[str, Any]) -> Prompt:
    """One prompt with every node of the pack under its own id, small sources for all, and an end that looks at each."""
    prompt: Prompt = {}
    for name, info in pack.items():
        for key, part in sound(name, info).items():
            if key == "it":
                prompt[name] = part
            elif key == "end":
                prompt[f"end of {name}"] = node("PreviewAny", source=[name, 0])
            else:
                prompt.setdefault(key, part)
    return prompt


def draw(prompt: Prompt) -> str:
    """The script that draws a prompt in the page, ten nodes a row; it gives the ids of the nodes by their keys."""
    return f"""async () => {{
      const prompt = {json.dumps(prompt)};
      const nodes = {{}};
      for (const [at, [key, {{ class_type, inputs }}]] of Object.entries(prompt).entries()) {{
        const node = (nodes[key] = F.add(class_type, 100 + 480 * (at % 10), 150 + 1000 * Math.floor(at / 10)));
        for (const [name, value] of Object.entries(inputs)) {{
          const widget = node.widgets?.find((one) => one.name === name);
          if (widget && !Array.isArray(value) && !value?.__value__) widget.value = value;
        }}
      }}
      for (const [key, {{ inputs }}] of Object.entries(prompt)) for (const [name, value] of Object.entries(inputs)) {{
        if (Array.isArray(value)) F.link(nodes[value[0]], value[1], nodes[key], name);
      }}
      await F.frame();
      return Object.fromEntries(Object.entries(nodes).map(([key, node]) => [key, node.id]));
    }}"""
