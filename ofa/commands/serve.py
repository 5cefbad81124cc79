"""Serve a network of a finished run over HTTP: ``ofa serve RUN_OR_FOLDER``."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

from ofa.deploy.serving import columns
from ofa.predict import ENGINES, classifier
from ofa.system.command import as_command
from ofa.system.ports import require_free

EXAMPLES = {"text": "the film was not good", "text_pair": "the film was bad"}


@as_command
def main(arguments: list[str]) -> int:
    """Exit status: 0 when stopped, 1 on a user's mistake."""
    parser = argparse.ArgumentParser(prog="ofa serve", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", type=Path, help="the folder of a run, or of one exported network")
    parser.add_argument("--network", help="e.g. w0.5; the recommended one if left out")
    parser.add_argument("--precision", choices=("fp32", "int8"), help="int8 where it is recommended, else fp32")
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0])
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets other machines in; nobody is asked to log in")
    parser.add_argument("--port", type=int, default=5001)
    options = parser.parse_args(arguments)
    answers = classifier(options.path, options.network, options.precision, options.engine)
    settings = answers.settings
    require_free(options.host, options.port)
    import uvicorn

    from ofa.deploy.server import app

    print(f"Serving {answers.folder} ({settings.get('precision', 'fp32')}). Try:")
    print(f"  {example(settings['pair'], options.host, options.port)}", flush=True)
    uvicorn.run(app(answers), host=options.host, port=options.port, log_level="warning")
    return 0


def example(pair: bool, host: str, port: int) -> str:
    """A request to paste into a shell of this machine."""
    place = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    body = json.dumps({"inputs": {name: [EXAMPLES[name]] for name in columns(pair)}})
    header = "Content-Type: application/json"
    return f"curl http://{place}:{port}/invocations -H {shlex.quote(header)} -d {shlex.quote(body)}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
