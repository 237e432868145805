"""How configurations of each family are read, and what its weights are called.

What a decoder consists of stands in `qbench.models.spec`; a file here says which of it a family
has. A new family is a new file and a line in `qbench.models.architectures.known`.
"""
