"""Decide who may do what: keys, their quotas, signatures, tenants, and the audit of what admins did."""
