"""Statistics as people see them: tables on a terminal, a page, files. Rich and matplotlib, each only where it draws."""
