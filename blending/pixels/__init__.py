"""What is done to pixels whatever tile they lie in: memory, checks, alpha, colour spaces, resampling."""
