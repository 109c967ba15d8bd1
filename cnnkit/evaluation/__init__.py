"""What a trained network is worth, and what it says of new images.

May import `runs`, `config` and what is below.

Begin with `evaluate`, and with `answers`, from which all figures follow; the table in `metrics` is the list of what is
measured, and each `Question` of `exam` has a file (`abstain`, `baseline`, `by_column` and so on). `calibrate` fits a
temperature, `recalibration` brings what was found before up to it, `results` keeps it. `predict` is for new images,
`submission` writes its answers in the form of a sample, `audit` asks a run which augmentations make labels false.
"""
