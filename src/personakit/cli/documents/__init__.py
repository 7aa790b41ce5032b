"""What commands on documents in files share, of whichever kind the documents are."""
