"""Tell a collector of OpenTelemetry what became of each request, where one is set."""
