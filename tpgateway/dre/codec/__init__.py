"""Tables as files: data for software, prints for people, and the signatures of both."""
