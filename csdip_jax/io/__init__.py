"""What a user brings along in files: measurements with their matrix or mask, trained weights, learned priors."""
