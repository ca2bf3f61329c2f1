# The runtime of every adapt config. Estimator, data set, adapter and evaluator are set by other files.
default_scope = 'hrtk'
randomness = dict(seed=0)
resume = True  # read stored results instead of computing them again
launcher = 'none'
log_level = 'INFO'

default_hooks = dict(progress=dict(type='ProgressHook'))
custom_hooks = []

# Arguments of the OverlayHook; `outputs=None` writes results and metrics only.
outputs = dict(pictures=8, video=True)
