"""Settings, then the gate, then plan checks, then the classroom, then what it hands out."""

import pulumi

from classroom import program
from classroom.classroom import Classroom

settings = program.settings()
program.gate(settings)
found = program.findings(settings)
for name, value in Classroom("classroom", settings, found).outputs.items():
    pulumi.export(name, value)
