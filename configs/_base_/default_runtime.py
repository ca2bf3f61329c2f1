# What every adapt config shares: how a run behaves. What it computes is the leaf config's.
default_scope = 'hrtk'
randomness = dict(seed=0)
resume = True  # continue from the results that are stored already
launcher = 'none'
log_level = 'INFO'

default_hooks = dict(progress=dict(type='ProgressHook'))
custom_hooks = []

# Arguments of the OverlayHook; `outputs=None` writes results and metrics only.
outputs = dict(pictures=8, video=True)
