# The open MPS-Net, for the features of the free start model; its regressor has the start model's form.
_network = dict(
    type='MPSNet', features=256, hidden=128, attention=128, map_pairing='paired',
    regressor=dict(type='IterativeRegressor', hidden=512, activation='relu', dropout=0.0))
_teacher = dict(type='TemporalTeacher', network=dict(_network, weights='open:mpsnet_open'), border='clamp')
