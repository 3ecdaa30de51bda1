"""llama.cpp, the peer that the scripts here measure against: from the PyPI source package llama-cpp-python, built
once, outside this tree, in TATARA_PEERS (default ~/.cache/tatara/peers); about 7 minutes on 2 cores."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request

VERSION = "0.3.36"
TREE = pathlib.Path(__file__).resolve().parent.parent
TATARA = TREE / "build" / "release" / "tatara"


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(command, **kwargs):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def build(targets):
    """-> folder of llama.cpp's programs, `targets` among them."""
    peers = pathlib.Path(os.environ.get("TATARA_PEERS", pathlib.Path.home() / ".cache/tatara/peers")).resolve()
    programs = peers / f"llama-cpp-{VERSION}" / "bin"
    if all((programs / target).exists() for target in targets):
        return programs
    peers.mkdir(parents=True, exist_ok=True)
    archive = peers / f"llama_cpp_python-{VERSION}.tar.gz"
    if not archive.exists():
        say("fetching llama.cpp's source package")
        run([sys.executable, "-m", "pip", "download", "--quiet", "--no-binary", ":all:", "--no-deps",
             "--dest", peers, f"llama-cpp-python=={VERSION}"])
    source = peers / f"llama_cpp_python-{VERSION}" / "vendor" / "llama.cpp"
    if not source.exists():
        with tarfile.open(archive) as tar:
            tar.extractall(peers, filter="data")
    say("building llama.cpp (some minutes)")
    folder = programs.parent
    run(["cmake", "-S", source, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DLLAMA_CURL=OFF",
         "-DLLAMA_BUILD_TESTS=OFF"])
    run(["ninja", "-C", folder, *targets])
    return programs


def model_path(model):
    if "/" in model or pathlib.Path(model).exists():
        return model
    for entry in json.loads(run([TATARA, "models", "--json"])):
        if entry["name"] == model and entry["here"]:
            return entry["local"]["path"]
    sys.exit(f"{model} is not on this machine; fetch it with: tatara pull {model}")


def need_program():
    if not TATARA.exists():
        sys.exit(f"{TATARA.relative_to(TREE)} is not built; run ./quickstart or ./check first")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A server of its own, stopped at the end of `with`."""

    def __init__(self, name, command, port, log):
        self.name, self.port = name, port
        self.process = subprocess.Popen([str(c) for c in command], stdout=log, stderr=log)

    def wait(self):
        for _ in range(1200):
            if self.process.poll() is not None:
                sys.exit(f"{self.name} ended while it started")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                pass
            time.sleep(0.1)
        sys.exit(f"{self.name} is not ready after two minutes")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
