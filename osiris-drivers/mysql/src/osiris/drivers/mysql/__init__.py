"""MySQL and MariaDB for Osiris: ``mysql.extractor`` and ``mysql.writer``."""
