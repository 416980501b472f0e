"""Who speaks when: a voice encoder in numpy, clusters of its embeddings, turns."""
