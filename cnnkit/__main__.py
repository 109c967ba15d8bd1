"""`python -m cnnkit` is `cnnkit`."""

from __future__ import annotations

import signal


def main() -> None:
    """Runs the command line. Ctrl-C while Python imports it, which takes a moment, is told when that is over."""
    heard: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:  # as `nohup` has it
        signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    from cnnkit.commands.main import main as run

    signal.signal(signal.SIGINT, before)
    run(interrupted=bool(heard))


if __name__ == "__main__":
    main()
