"""`cnnkit init`: from images to a config that suits them, each setting with its reason.

May import the doctor and what is below. Begin with `start`, the story, then `rules`, where each setting has its reason.
"""
