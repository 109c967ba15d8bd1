"""What a person types and sees: one file a command, with its options, what it calls and what it shows.

The only room that knows Typer and Rich, and the only one that exits. It may import every other room; what is dear to
import is imported inside the functions that use it, so that `--help` and a mistyped option answer at once.

Begin with `train`; `app` lists the commands, `command` is what they share, `main` turns errors into exit codes, and
`screen` is where all is shown.
"""
