"""Rules of other engines turned into mapper documents, as far as they can be said in this language.

What cannot be said is refused with its place and reason. Where a fact of an unusual kind would be decided
otherwise here than there, the import says so in a note.
"""
