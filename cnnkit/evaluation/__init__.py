"""What a trained network is worth, and what it says of new images.

May import `runs`, `config` and what is below.

Begin with `evaluate`; the table in `metrics` is the list of what is measured. `predict` is for new images, `submission`
writes its answers in the form of a sample, `audit` asks a run which augmentations make labels false.
"""
