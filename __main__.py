"""Settings, then plan checks, then the classroom, then what it hands out."""

import pulumi

from classroom import preflight, program
from classroom.classroom import Classroom

settings = program.settings()
cloud = program.checked(preflight.check, settings, pulumi.get_stack())
for name, value in Classroom("classroom", settings, cloud).outputs.items():
    pulumi.export(name, value)
