"""A stand-in for ComfyUI that starts in a moment: it knows three nodes, runs prompts one after the other, and can be told to
fail, to hang, to wait and to die by the picture that it is given.

`make(folder)` writes it down as a ComfyUI; its custom_nodes, models and input are where a real one has them.
"""

from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path

MAIN = r"""
import base64, hashlib, http.server, json, os, shutil, sys, threading, time, urllib.parse
from pathlib import Path

args = sys.argv
def given(name):
    return Path(args[args.index(name) + 1])
INPUT, OUTPUT = given("--input-directory"), given("--output-directory")
INFO = {kind: {"input": {"required": {}}, "display_name": kind} for kind in ("LoadImage", "SaveImage", "PreviewImage", "Worker")}
history, queue, lock = {}, [], threading.Condition()

def work(prompt_id, prompt):
    def failed(node, kind, words):
        said = {"node_id": node, "node_type": prompt[node]["class_type"], "exception_message": words, "exception_type": kind}
        return {"status": {"completed": False, "status_str": "error", "messages": [["execution_error", said]]}, "outputs": {}}
    outputs = {}
    for node, part in prompt.items():
        inputs = part["inputs"]
        if part["class_type"] == "LoadImage":
            content = (INPUT / inputs["image"]).read_bytes()
        elif part["class_type"] == "Worker":
            if b"DIE" in content:
                os._exit(9)
            time.sleep(inputs.get("seconds", 0))
            if b"BAD" in content:
                return failed(node, "OSError", "image file is truncated")
            if b"FULL" in content:
                return failed(node, "OSError", "[Errno 28] No space left on device: 'a.png'")
            if b"LARGE" in content and inputs.get("tile_width", 512) > 256:
                return failed(node, "torch.OutOfMemoryError", "Allocation on device")
            content += str(inputs.get("strength")).encode()
            outputs[node] = {"text": ["passed: no seam"]}
        elif part["class_type"] == "SaveImage":
            name = Path(inputs["filename_prefix"])
            (OUTPUT / name.parent).mkdir(parents=True, exist_ok=True)
            records = []
            for number in range(2 if b"TWO" in content else 1):
                target = OUTPUT / name.parent / f"{name.name}_{number:05}_.png"
                with target.open("wb") as file:
                    for piece in range(0, len(content), max(1, len(content) // 4)):
                        file.write(content[piece:piece + max(1, len(content) // 4)])
                        file.flush()
                        time.sleep(inputs.get("slow", 0))
                records.append({"filename": target.name, "subfolder": str(name.parent), "type": "output"})
            if b"ASTRAY" in content:
                records[0].update(filename="../../../../etc/passwd.png")
            outputs[node] = {"images": records}
    return {"status": {"completed": True, "status_str": "success", "messages": []}, "outputs": outputs}

def worker():
    while True:
        with lock:
            while not queue:
                lock.wait()
            prompt_id, prompt = queue.pop(0)
        try:
            entry = work(prompt_id, prompt)
        except Exception as error:
            said = {"node_id": "?", "node_type": "?", "exception_message": repr(error), "exception_type": "X"}
            entry = {"status": {"status_str": "error", "messages": [["execution_error", said]]}, "outputs": {}}
        history[prompt_id] = entry

class Answer(http.server.BaseHTTPRequestHandler):
    def say(self, value, status=200, body=None):
        body = json.dumps(value).encode() if body is None else body
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        path = urllib.parse.urlsplit(self.path)
        asked = dict(urllib.parse.parse_qsl(path.query))
        if path.path == "/system_stats":
            self.say({"system": {"argv": args}})
        elif path.path == "/object_info":
            self.say(INFO)
        elif path.path.startswith("/history/"):
            key = path.path.rpartition("/")[2]
            self.say({key: history[key]} if key in history else {})
        elif path.path == "/view":
            body = (OUTPUT / asked["subfolder"] / asked["filename"]).read_bytes()
            if b"CUT" in body:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[:-5])
                os._exit(9)
            self.say(None, body=body)
        else:
            self.say({}, 404)
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/upload/image":
            head, _, rest = body.partition(b'filename="')
            name = rest.partition(b'"')[0].decode()
            content = rest.partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0]
            (INPUT / "tilework").mkdir(exist_ok=True)
            (INPUT / "tilework" / name).write_bytes(content)
            return self.say({"name": name, "subfolder": "tilework", "type": "input"})
        value = json.loads(body)
        if self.path == "/prompt":
            wrong = [key for key, part in value["prompt"].items() if part["inputs"].get("strength", 0) > 9]
            if wrong:
                faults = {"errors": [{"message": "Value too big", "details": "strength"}]}
                return self.say({"error": {"message": "x"}, "node_errors": {wrong[0]: faults}}, 400)
            prompt_id = hashlib.sha256(os.urandom(8)).hexdigest()[:32]
            with lock:
                queue.append((prompt_id, value["prompt"]))
                lock.notify()
            return self.say({"prompt_id": prompt_id, "node_errors": {}})
        if self.path == "/history":
            for key in value["delete"]:
                history.pop(key, None)
        self.say(None, body=b"")
    def log_message(self, *_):
        pass

print("Starting", flush=True)
time.sleep(float(os.environ.get("STAND_IN_STARTS_IN", "0.1")))
threading.Thread(target=worker, daemon=True).start()
http.server.ThreadingHTTPServer(("127.0.0.1", int(given("--port").name)), Answer).serve_forever()
"""
WORKFLOW = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
    "2": {"class_type": "Worker", "inputs": {"image": ["1", 0], "strength": 1, "model_name": "weights.safetensors", "seconds": 0}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "mine", "slow": 0}},
}


def make(folder: Path) -> Path:
    """A ComfyUI in `folder` that has one pack and one model; returns `folder`."""
    for name in ("comfy", "custom_nodes/pack", "models/upscale_models", "input"):
        (folder / name).mkdir(parents=True)
    (folder / "main.py").write_text(MAIN)
    (folder / "comfyui_version.py").write_text('__version__ = "0.30.0"\n')
    (folder / "custom_nodes" / "pack" / "pyproject.toml").write_text('[project]\nversion = "1.0.0"\n')
    (folder / "custom_nodes" / "pack" / "__init__.py").write_text("")
    (folder / "models" / "upscale_models" / "weights.safetensors").write_bytes(b"weights")
    (folder / "input" / "example.png").write_bytes(picture("example"))
    return folder


def picture(words: str = "", side: int = 2) -> bytes:
    """A PNG of one colour, with `words` in a text chunk."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes(3 * side)) * side)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"tEXt", b"words\0" + words.encode())
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )


def processes_of(folder: Path) -> list[int]:
    """Processes that have a path of `folder` in their command line, but for ourselves (Linux)."""
    import os

    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            said = place.read_bytes()
        except OSError:
            continue
        if str(folder).encode() in said and int(place.parent.name) != os.getpid():
            found.append(int(place.parent.name))
    return found


if __name__ == "__main__":
    make(Path(sys.argv[1]))
