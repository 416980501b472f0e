"""English text to the phonemes that Kokoro was trained on: spelled out, looked up, else guessed."""
