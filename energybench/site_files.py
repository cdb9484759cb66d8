"""What a folder that a report was written into holds, by which a search for records knows it."""

SITE_LEDGER = ".energybench-site.json"
WRITTEN_BY_SITE = ("data", "figures")
