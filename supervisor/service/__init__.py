"""Have the operating system keep the daemon running: launchd on macOS, systemd on Linux."""
