"""The verdict on a training that is over, in plain words, from its curves.

Begin with `judge`: what is asked and in which order. `course` is what is known of the training, `curve` what of a
figure over the epochs is more than noise; the others are the answers: `chance` (nothing is learnt), `rate` (the
learning rate), `fitting` (too much or too little is learnt), `stages` (early stopping, stages without gain).
"""

from __future__ import annotations
