"""The config: YAML in, one typed object out, and every mistake with its line and column.

May import the rooms that sections stand in, `optimization`, `models` and `data`, and `core`.

Begin with `experiment`, the whole file as one object, then `file`, which reads and writes it; `document` is its values
with what `--set` puts over them. `checks` holds the sections against each other, `training_checks` those of `train`,
`messages` says what is wrong with a setting, `catalogue` tells what a config may name.
"""
