"""`python -m blending.check_folder`: Seam Check for a folder of pictures (`seam_check/folder.py`)."""
