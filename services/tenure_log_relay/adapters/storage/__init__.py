"""How do acknowledged bytes survive on disk, and how are they found again?"""
