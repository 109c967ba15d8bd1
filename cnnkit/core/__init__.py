"""What all rooms stand on: sections of a config, errors, progress, the cache, texts, random numbers.

May import nothing of cnnkit outside of itself.

Begin with `spec`, the base of every section, and `errors`; `lazy` is why TensorFlow is loaded only when it is used.
"""
