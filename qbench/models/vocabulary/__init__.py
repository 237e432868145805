"""The vocabularies of tokenizers, in every form that they are published in, as one document."""
