"""Run the Pulumi program: read the settings, apply the policy, check the cloud, declare the classroom, export its outputs."""

import pulumi

from classroom.provision import pulumi_program
from classroom.provision.classroom import Classroom

settings = pulumi_program.settings()
pulumi_program.gate(settings)
found = pulumi_program.findings(settings)
for name, value in Classroom("classroom", settings, found).outputs.items():
    pulumi.export(name, value)
