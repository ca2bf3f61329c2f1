# LandmarkHMR as a teacher: it has seen real people through BlazePose.
lifter_teacher = dict(
    type='EstimatorTeacher',
    estimator=dict(type='LandmarkHMR', body=dict(type='BodyModel', file='open'), weights='open:lifter'))
