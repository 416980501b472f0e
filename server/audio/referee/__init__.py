"""A language model is asked who said the few words that sound could not settle.

Owns which words are in doubt, the bounded question, the strict reading of the answer, what is
changed by it, and the asking. It changes only who said something, never what was said or when; a
word whose sound is clear is never asked about. Refuses to trust: the transcript is data inside the
question, and an answer that is not exactly what was asked for is thrown away whole.

Transcript-preserving speaker transfer, which keeps the model from editing words, is from
DiarizationLM (Wang et al., arXiv 2401.03506). The same paper finds models that were not trained for
it poor at labelling whole transcripts: hence only the words in doubt, only speakers that are heard
nearby, and "unsure" is always an answer.
"""
