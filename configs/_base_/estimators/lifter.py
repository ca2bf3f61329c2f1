# The start model for real people: BlazePose's landmarks, lifted to the free body.
estimator = dict(type='LandmarkHMR', body=dict(type='BodyModel', file='open'))
