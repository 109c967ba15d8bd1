"""The folder that a training leaves behind: it explains itself and is enough to repeat and evaluate the run.

May import `config` and what is below.

Begin with `run`; `files` lists what lies in its folder, `creating` makes it, `own_config` and `record` are its config
and how it came about, `split_file` tells which image was in which split; `checkpoints` writes weights so that a crash
can't harm them, `provenance` tells how a run was made, `images` finds the images of a run again, `overwriting` keeps
commands from writing over runs and what they read.
"""
