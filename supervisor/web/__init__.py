"""Serve the page of operators: HTML, style and scripts as they lie here, made by nobody and fetched from nowhere."""
