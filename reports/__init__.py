"""Reports: records read back into frames, drawn as figures, written as a page. Nothing here measures."""
