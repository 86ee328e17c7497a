"""One market day from real files: readers, joining rules, the embedded day and the report."""
