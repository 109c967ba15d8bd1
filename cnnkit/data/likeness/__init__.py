"""What images look like: which are near-duplicates of one another. Begin reading in `near_duplicates`.

The doctor tells of them, and a split keeps them together where it is asked to.
"""
