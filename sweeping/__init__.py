"""One network compiled in many ways: which ways there are, trying them in parallel, the front."""
