"""Turn uploads into samples and samples into files; nothing here knows a model, and nothing here trusts an upload."""
